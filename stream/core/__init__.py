"""What is true. Pure: values in, values out; no clock, no input or output, no wire format."""
