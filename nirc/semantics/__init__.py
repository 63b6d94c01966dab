"""What a program computes, executable."""
