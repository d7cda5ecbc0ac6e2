"""Parts of Cluster/compare-etcd."""
