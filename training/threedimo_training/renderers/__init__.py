"""From posed people in textured places to pictures: one definition, a CPU and a torch renderer of it."""
