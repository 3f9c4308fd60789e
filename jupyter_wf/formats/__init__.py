"""Write a graph in the languages of other tools, and read it back."""
