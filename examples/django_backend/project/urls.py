from airport import realtime, views
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

urlpatterns = [
    path("", views.board, name="board"),
    path("flights", views.flights),
    path("rt.js", views.client),
    path("login", LoginView.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("rt/connect", realtime.connect),
    path("rt/subscribe", realtime.subscribe),
    path("rt/publish", realtime.publish),
    path("rt/rpc", realtime.call),
]
