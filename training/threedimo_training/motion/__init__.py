"""How people move: the skeleton, procedural motions, recorded ones, and standing them on the floor."""
