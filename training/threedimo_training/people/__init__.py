"""Who moves: skinned meshes of many builds, their clothes, and where meshes come from."""
