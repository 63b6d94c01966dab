"""Intel Loihi 2: the chip's rules, executable. The compiler for it is to come; nothing here is registered yet."""
