"""The paper's experiments on limner's own data: what does each idea of ExPose bring here?"""
