"""The measurements that README quotes."""
