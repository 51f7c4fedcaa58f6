"""Run folders: make, lock, resume, find the newest; drive the training loop and do what its events ask.

record.py    run.json, read within bounds
find.py      where runs and models are
facts.py     what a run's arithmetic depends on
folder.py    a run folder, opened
speed.py     how fast this machine trains
make.py      make one: encode the corpus, write down what was decided
restore.py   where a run stands: its newest good state
disk.py      where its files are written, and what happens when the disk does not take them
signals.py   a signal interrupts a command; of a run a first one asks, and a second one insists
drive.py     train an opened run to its end, saving on the way
heldout.py   the part of its corpus that a model was not trained on
"""
