"""Run folders: make, lock, resume and find them; drive the training loop and act on its events.

record.py    run.json, read within bounds
find.py      where runs and models are
facts.py     what a run's arithmetic depends on
folder.py    a run folder, opened
speed.py     how fast this machine trains
data.py      a run's own copy of what it learns from
initial.py   begin with what another model has learned
make.py      make a run folder: encode the corpus, write down what was decided
restore.py   bring a run back to its newest good state
disk.py      write a run's files, and try again when the disk refuses them
signals.py   Unix signals: the first one stops a run tidily, the second one ends it at once
drive.py     train an opened run to its end, saving on the way
preview.py   what a model shows of itself on the way
finish.py    the end: the best model scored exactly; of labels, what it is measured beside, and the test part
heldout.py   find the part of a corpus or of labelled texts that a model was not trained on
"""
