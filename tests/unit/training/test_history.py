"""The course of a training as CSV."""

from headrace.training.history import write_history


def test_rows_are_written_in_order(tmp_path):
    """Dvc plots reads columns by name; equal rows give equal bytes."""
    rows = [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}]
    write_history(tmp_path / "plots" / "history.csv", rows)

    assert (tmp_path / "plots" / "history.csv").read_bytes() == b"epoch,train_loss\n1,0.5\n2,0.25\n"
