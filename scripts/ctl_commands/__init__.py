"""`./scripts/ctl`: a deployment looked after from a shell, over its admin API alone.

`connection` finds the deployment and its key, asks, and tells what was refused; `show` prints; `common` has what
commands share (options, whom a word means, acts on many). The others have the commands: `overview`, `customers`,
`work`, `plans`, `events`, `orders`.
"""
