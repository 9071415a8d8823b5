"""What every row trains, counted from the networks as built. Imports all below it."""
