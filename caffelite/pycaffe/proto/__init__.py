"""`caffe.proto`: where scripts find `caffe_pb2`."""
