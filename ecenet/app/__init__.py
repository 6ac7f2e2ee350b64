"""The Gradio app. `layout` puts the page together; each tab, panel and endpoint is a module below."""
