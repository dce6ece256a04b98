"""What a buyer sees and does: begin a purchase, learn how it stands, reach the billing portal; and offline money."""
