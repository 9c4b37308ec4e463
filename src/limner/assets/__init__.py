"""Which data files does limner ship? The embedded body model and the network weights."""
