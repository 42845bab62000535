"""What runs beside Polars in an executor: one process, one plan at a time, told by a Floe worker.

link      frames on descriptor 3
interrupt SIGINT, only while a task runs
identity  what this Polars is: versions, plan header, fingerprint
task      run one plan, count and show its rows

SPDX-License-Identifier: Apache-2.0
"""
