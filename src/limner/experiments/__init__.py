"""The paper's experiments on limner's own data: what each idea of ExPose brings here."""
