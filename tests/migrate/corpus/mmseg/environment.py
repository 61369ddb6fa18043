_base_ = './base_only.py'
data_root = '{{$FIELDS_ROOT:data/fields}}/images'
work_dir = './work/{{ fileBasenameNoExtension }}'
model = dict(decode_head=dict(num_classes={{'$FIELDS_CLASSES:6'}}))
