"""The open-source Portkey gateway itself, installed by npm and run on loopback, to hold our client against."""
