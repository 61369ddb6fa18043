_base_ = ['_base_/models/cascade.py', '_base_/datasets/scenes.py', '_base_/schedules/iterations.py']
