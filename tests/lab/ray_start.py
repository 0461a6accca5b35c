"""`ray` as the product starts it, without API server and client server: `ray_start.py start --head ...`."""

from ray.scripts import scripts

from cluster.pool.ray_head import leave_out_api_server

if __name__ == "__main__":
    leave_out_api_server()
    # What it returns where the packages of Ray's client are missing.
    scripts.get_ray_client_dependency_error = lambda: ImportError()  # ty: ignore[invalid-assignment]
    scripts.main()
