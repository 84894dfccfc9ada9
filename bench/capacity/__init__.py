"""What a catalogue and a load take in machines, memory and money, from measured constants."""
