"""What targets would cost before they run: counted multiply-adds, measured steps, a plan."""
