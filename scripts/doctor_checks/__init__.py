"""What the doctor examines, side by side: each module looks at one thing, and yields what it found there."""
