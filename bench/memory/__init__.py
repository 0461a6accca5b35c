"""Does the estimator of memory say what models take?"""
