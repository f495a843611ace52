"""In and out: code of Keras and PyTorch, weights, pretrained layers, recordings of other programs' trainings."""
