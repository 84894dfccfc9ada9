"""Engines that keep graphs for several machines, where they outgrow the memory of one."""
