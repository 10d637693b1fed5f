"""What a call costs: the real job beside the script that it replaces, against one fast engine on loopback."""
