"""What a net is and costs, told from its plan: nothing is run and nothing allocated."""
