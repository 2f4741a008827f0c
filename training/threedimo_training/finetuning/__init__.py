"""Training of any supported generator: `threedimo-train finetune`.

A base is a folder of this project's pipeline or one of a stock Wan model, which gets untrained motion layers.
What is trained is small (`adapters`, `lora`) or everything of the transformer (`full`); the video autoencoder
and the text encoder never change, so that target latents and text embeddings are made once and kept. Driving
frames stay pixels: they are augmented, and their encoder is trained.

Sample k of step n draws everything random from a seed of its own, made of the plan's seed, n and k. That is
why a training takes the same steps however often it is stopped, and however many processes share a batch.
"""
