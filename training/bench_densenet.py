"""The memory-saving form of DenseNet-BC (L = 100, k = 12) against the plain one, on this CPU.

python -m training.bench_densenet        prints both and writes results/bench/densenet.csv

Both train by the recipe of Huang et al. 2017, a step each in turn, each in a process of its own
with one thread. `megabytes` is what training added to the process at its peak.
"""

from functools import partial

from training.bench import Make, compared, measure, ours, report

ROW = "huang2017_dense/table2/densenet_bc_100_12"
ROUNDS, BATCH = 4, 64


def main() -> None:
    forms: dict[str, Make] = {
        "concatenation": partial(ours, ROW),
        "efficient": partial(ours, ROW, "model.efficient=true"),
    }
    seconds, memory = measure(forms, ROUNDS)
    rows = compared(seconds, BATCH)
    for row in rows:
        row["megabytes"] = round(memory[str(row["loop"])] / 1e6)
    report(rows, "densenet")


if __name__ == "__main__":
    main()
