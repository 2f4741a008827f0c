"""A Ray cluster on loopback that claims to have two GPUs; prints its address, and ends with standard input.

python ray_cluster.py FOLDER
"""

import sys

import ray

context = ray.init(
    address="local",
    num_cpus=2,
    num_gpus=2,
    include_dashboard=False,
    log_to_driver=False,
    object_store_memory=100_000_000,
    _temp_dir=sys.argv[1],
)
sys.stdout.write(f"{context.address_info['gcs_address']}\n")
sys.stdout.flush()
sys.stdin.read()
ray.shutdown(wait_for_processes=True)
