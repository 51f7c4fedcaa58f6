"""The contents of the tensor files: `model.safetensors`, which people share, and the training state.

fields.py     JSON <-> the dataclasses, strictly
format.py     tensors and a JSON head <-> bytes with a hash over all of them; charlm/tensorfile.py opens and checks them
card.py       what a model file says about itself, read without making the model
model.py      a model and its card <-> model.safetensors
baselines.py  what its scores are seen beside <-> baselines.safetensors
training.py   everything an exact continuation needs <-> last.safetensors
"""
