from tensorflow.keras.models import load_model
from measures import dice_coef, dice_loss

model = load_model('unet.h5', custom_objects={'dice_loss': dice_loss, 'dice_coef': dice_coef})
model.fit(x, y)
