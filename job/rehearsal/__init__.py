"""The rehearsal: tonight's plan, played in virtual time with the answers of past nights. It calls nothing."""
