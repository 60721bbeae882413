"""What trains is also told to TensorBoard, Weights & Biases and MLflow: beside our own store, and in a process of its own."""
