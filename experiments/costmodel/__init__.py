"""The cost model: what each method and policy costs in the mean, in closed form, from a setting (docs/cost-model.md).

The oracle says what one session of one scenario must take; here stands what sessions at random times come to, when
nodes move at random. It knows neither scenarios nor measurements.
"""
