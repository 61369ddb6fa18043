_base_ = ['_base_/models/fcn.py', '_base_/datasets/fields.py', '_base_/schedules/iterations.py', '_base_/default_runtime.py']
