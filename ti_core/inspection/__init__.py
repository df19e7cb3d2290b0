"""One model end to end, with a reference pack and without: evidence, verdict, reasons, trigger."""
