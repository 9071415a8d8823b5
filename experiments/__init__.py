"""From records and published numbers to plans, tables, figures and the report; never imports torch.
Packages, lowest layer first: papers, verdicts, then plan, tables and figures, then execution and
compile.py, then report, sharing and the commands."""

from records.imports import end_by_ctrl_c

end_by_ctrl_c()
