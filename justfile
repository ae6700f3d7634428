# Shortcuts. Each is one line, and can be typed without just.

# Lists them.
default:
    @just --list

# Builds and runs the server with demo data, on http://127.0.0.1:8080.
run:
    scripts/demo

# Everything that a change must pass.
test:
    scripts/test

# Simulates that many seeds, from the first on: `just sim 1 4711` runs a failure again.
sim SEEDS="200" FIRST="0":
    cargo run --release --package maitred-sim -- {{SEEDS}} {{FIRST}}

# Simulates seeds that nobody has tried: 20,000 of them, from the present second on.
sim-night:
    cargo run --release --package maitred-sim -- 20000 "$(date +%s)00000"

# Kills the server under load two hundred times, and looks each time at what it has kept.
crash-night:
    CRASH_ROUNDS=200 cargo test --release --package maitred --test crash -- --nocapture

# Measures the server beside its yardstick; about half an hour. `just bench --quick` only sees that it works.
bench *OPTIONS:
    cargo build --release --package maitred --package maitred-bench && cargo run --release --package maitred-bench -- run {{OPTIONS}}

# Formats all code.
fmt:
    cargo fmt --all

# Brings docs/openapi.json up to date with the routes; look at the change.
openapi:
    UPDATE=1 cargo test --release --package maitred --test it the_document_in_the_repository
