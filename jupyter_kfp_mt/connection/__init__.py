"""The way to KFP: which endpoint, credentials and namespace, through the door or directly."""
