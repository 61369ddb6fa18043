print 'training', 3
model = dict()
