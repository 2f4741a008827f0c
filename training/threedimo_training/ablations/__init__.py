"""The paper's ablations and ours: all variants trained for the same steps on the same samples, and compared.

    variants.py             what is compared, what the paper saw
    variant_stages.py       the generator stage without one of its parts
    smpl_encoder.py         SMPL pose instead of the motion encoder
    channel_transformer.py  channel concatenation instead of cross-attention
    ground.py               what all variants begin from: a work folder of `threedimo-train embedded`
    training.py             trains them, resumable
    held_out.py             people, motions and cameras that no training has seen
    held_out_loss.py        the main figures: the denoising loss under right and wrong conditions
    generation.py           clips made by a variant, and what the probe sees in them
    results.py              everything into one document
    verdicts.py             whether the paper's finding shows
    table.py, page.py       the document for people
    run.py                  what the command line runs

Why the loss is the main figure: at a small budget, generated clips differ little and noisily, while the loss
of the same noised latents under the same noise can be compared clip by clip, and its change under another
clip's motion or camera text says directly what the generator listens to.
"""
