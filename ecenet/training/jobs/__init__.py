"""Trainings as processes of their own: started, stopped, resumed and watched by somebody else."""
