"""The tensor files: `model.safetensors`, which people share, and the training state. The only package that knows them.

fields.py     JSON <-> the dataclasses, strictly
format.py     tensors and a JSON head <-> bytes with a hash over all of them
model.py      a model and all that it says of itself <-> model.safetensors
training.py   everything that an exact continuation needs <-> last.safetensors
"""
